"""What plugins are made of and what they may see. Nothing here knows any plugin."""
