"""Other triggers than HTTP, and other answers: a timer and a queue."""

import logging

import azure.functions as func

nightly = func.Blueprint()


@nightly.timer_trigger(schedule="* * * * * *", arg_name="timer", run_on_startup=True)
def tidy_up(timer: func.TimerRequest) -> None:
    logging.warning("tidy_up: ran, past due %s", timer.past_due)


@nightly.queue_trigger(arg_name="message", queue_name="parcels", connection="AzureWebJobsStorage")
def take_parcel(message: func.QueueMessage) -> None:
    logging.warning("take_parcel: %s", message.id)


@nightly.route(route="dispatch/{id?}")
@nightly.queue_output(arg_name="parcel", queue_name="parcels", connection="AzureWebJobsStorage")
def dispatch(req: func.HttpRequest, parcel: func.Out[str]) -> str:
    if number := req.route_params.get("id"):
        parcel.set(number)
    return "dispatched"
