"""Cards on paper: a sheet (`sheet`) made of what the API says, printed as HTML or PDF (`printing`)."""
