"""One module for each command of `workmanager`, and what their arguments and output share."""
