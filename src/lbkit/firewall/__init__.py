"""The firewall of a node: it opens what the site's node listens on, and nothing else."""
