"""Other ways to prove who one is: personal API tokens, one-time codes, passkeys, other providers, reset links."""
