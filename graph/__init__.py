"""Who is next: the state graph that takes a ticket to a delivered branch."""
