"""What the speed of this system is measured with; docs/performance.md has the results."""
