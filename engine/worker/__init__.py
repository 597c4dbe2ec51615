"""The process that holds the models, and the line to it."""
