"""Services that run models: the catalogue, the way to them, and the embedded model."""
