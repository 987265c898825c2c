"""Who may call: virtual keys, and the credential of this machine's own command."""
