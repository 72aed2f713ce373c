"""Programs of an earlier version replaced by this one's under load: `./scripts/dev.sh upgrade REVISION`.

    __main__          the command
    versions          the source tree of a version, and its programs
    store             its Redis: one server or a cluster, with the users of a version or without any
    feature_load      jobs that use what jobs can ask for, and requests to all views, while programs are replaced
    rolling_upgrade   one upgrade: the order of the steps, and what must hold afterwards

Sources of earlier versions come from the repository's history, which a shallow clone lacks, so CI does not run it.
"""
