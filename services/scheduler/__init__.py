"""The scheduler: gives every Pod without a node one, and says why it chose that one.

    watch events ─► event_handlers ─► queue (who is next) ─► scheduler.Scheduler
                          │                                       │ decides, one Pod at a time
                          └──► cache (what is where) ─► snapshot ─┤ algorithm + framework + plugins
                                                                  └► binding, many at a time ─► API server

`framework/` holds the extension points, under upstream's names, and what plugins see of a node;
`plugins/` the plugins, which do not know each other; `profile.py` the tuple of those that run.
Queue, cache, snapshot, framework and plugins are pure: they are told the time and touch no wire.
`scheduler.py` and `event_handlers.py` act. Upstream: `pkg/scheduler`.
"""
