"""`python -m zohosync` is the command."""

from zohosync.cli import main

main()
