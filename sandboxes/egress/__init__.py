"""The way out of a sandbox, where a profile grants one: a tunnel to the host, and a proxy there that judges."""
