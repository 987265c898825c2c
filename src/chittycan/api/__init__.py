"""HTTP front doors. They hold no logic: bytes in, the gateway's answer out, errors in the caller's dialect."""
