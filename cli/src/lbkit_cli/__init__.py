"""The command line `lbkit`: Typer and Rich live here, and nowhere below."""
