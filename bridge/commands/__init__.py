"""The subcommands of ``sideman``, one file each; none imports anything heavy before it runs."""
