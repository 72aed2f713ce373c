"""The slots of a worker: each runs one job at a time in an executor process that it keeps alive."""
