def quote(author: str) -> str:
    return f"{author.title()}: less is more"
