"""What is known and what is decided: events, commands, state, and the one pure function between them."""
