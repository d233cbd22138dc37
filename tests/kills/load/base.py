"""What all loads have in common: a thread that survives the server, and bursts at random moments."""

import threading
import time

SIZES = (40, 100, 300, 900, 4_000, 20_000)
WEIGHTS = (30, 40, 20, 6, 3, 1)
# A client tries again after this; a killed server refuses at once.
RETRY_SECONDS = 0.02


class Pace:
    """When to send how many: bursts of up to `burst` at `rate` per second on average."""

    def __init__(self, rng, rate, burst=80):
        self.rng, self.rate, self.burst = rng, rate, burst
        self.next = time.monotonic()

    def due(self):
        now = time.monotonic()
        if now < self.next:
            return 0
        count = self.rng.randint(1, self.burst)
        # Not made up for when it was held up: time without a server brings no flood.
        self.next = max(self.next, now - 0.1) + count / self.rate * self.rng.uniform(0.5, 1.5)
        return count

    def size(self):
        return self.rng.choices(SIZES, WEIGHTS)[0]


class Load(threading.Thread):
    """One client. `producing` and `ending` are said from outside, `connected` from inside."""

    def __init__(self, name, history, rng, address):
        super().__init__(name=name, daemon=True)
        self.history, self.rng, self.address = history, rng, address
        self.producing, self.ending = threading.Event(), threading.Event()
        self.connected = False
        self.connection = 0
        self.failure = None

    def run(self):
        try:
            while not self.ending.is_set():
                self.live()
        except Exception as error:
            self.failure = error
            self.history.add("fatal", c=self.name, why=repr(error))
            raise

    def live(self):
        """One connection, from its attempt to its end."""
        raise NotImplementedError

    def open_count(self):
        """Messages whose fate is not known yet."""
        return 0

    def end(self):
        self.ending.set()
        self.join(10)
