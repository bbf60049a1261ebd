"""The strategies that come with Jarvis: one file each, named as the strategy."""
