"""The pages that show what lies in the lake."""
