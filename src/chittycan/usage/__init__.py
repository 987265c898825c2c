"""What calls cost and how much may be spent: the ledger and its questions, prices, budgets and rates."""
