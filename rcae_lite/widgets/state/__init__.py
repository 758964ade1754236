"""What each widget knows, in plain Python without ipywidgets: tested without a browser."""
