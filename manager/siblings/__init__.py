"""A manager of several processes that serve one port: one main process, which has all duties, and its siblings."""
