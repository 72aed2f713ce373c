"""What `workmanager.testing` is made of: the checks and the documents of a manager, without one."""
