"""`python -m regulars_server.cli`, for where the console script is not on the path."""

from regulars_server.cli import main

main()
