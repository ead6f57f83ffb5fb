"""The loop and what stands around it: inbox, workers, timers, observer, recovery."""
