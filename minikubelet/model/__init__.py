"""Plain data: ids, pods, statuses, what a runtime shows, settings. No behaviour beyond reading them."""
