"""One file a plugin. They do not know each other; `services.scheduler.profile` says which of them run."""
