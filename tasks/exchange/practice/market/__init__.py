"""Markets whose prices are made up, or are those of the lake moved in time."""
