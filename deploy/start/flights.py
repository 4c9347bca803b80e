"""The function in Python that the main job runs on the endpoint: standard library only."""
import statistics


def describe(delays):
    """What is usual and what is rare among the delays (minutes) of one hour of departure."""
    ordered = sorted(delays)
    return {
        "flights": len(ordered),
        "median": statistics.median(ordered),
        "p90": ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)],
        "on_time": sum(delay <= 15 for delay in ordered) / len(ordered),
    }
