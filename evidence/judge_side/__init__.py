"""What runs inside the sandbox on the judge's behalf; it is sent there as text and never imported here."""
