"""The walkthrough's way of doing it, in our own words: what the project is measured against."""
