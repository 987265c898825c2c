"""Mail: reading it from a mailbox (`sources`) and understanding it (`message`)."""
