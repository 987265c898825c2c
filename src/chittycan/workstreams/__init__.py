"""Work that waits, hands over and never gets lost: tasks, and recipes of many steps."""
