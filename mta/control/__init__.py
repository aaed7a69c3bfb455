"""What a person may order; commands, API and admin call the same functions.

Rule 1: an order is counted before it is given, and leaves a decision that says who gave it.
Rule 2: a recipient that a worker has claimed is left alone.
"""
