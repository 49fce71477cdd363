"""Is this experiment wired right? One file a kind of check; each check is a function (Subject) -> Check."""
