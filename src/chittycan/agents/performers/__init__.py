"""What does the work of tasks: one performer per type, with the gateway, the agents and the ways out behind them."""
