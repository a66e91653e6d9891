"""Who is told what: subscriptions of systems, notices to people, and their delivery.

outbox (committed with the write) -> matching.py -> event_waiting -> dispatching.py: decides who is entitled now, gives
the number, commits, sends by a channel, records the attempt. People: people.py, preferences.py.
runner.py does all that in a worker.
"""
