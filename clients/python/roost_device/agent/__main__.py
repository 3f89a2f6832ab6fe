"""`python -m roost_device.agent`."""

from roost_device.agent.command import main

main()
