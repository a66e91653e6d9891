"""Mutation testing of what decides about access: whether the tests notice when the code says something else."""
