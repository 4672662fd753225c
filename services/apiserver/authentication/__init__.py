"""Authentication: who asks. A certificate, a token, or nobody in particular; never whether he may."""
