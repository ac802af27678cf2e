"""Small tools that know nothing of Atari or of representations."""
