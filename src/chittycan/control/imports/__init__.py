"""Configuration of other gateways, read into ours; with a finding for every line that means something there."""
