"""The dashboard: pages over the lake, for `panel serve dashboards/trading.py`; it reads the lake and nothing else."""
