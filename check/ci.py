"""What machines that run checks read: JUnit's XML, and annotations of a pull request."""

from xml.etree import ElementTree as Xml

from seqmem.check.report import Report, sentence, speed_text

__all__ = ["annotations", "junit"]


def junit(report: Report) -> str:
    """Write a check as JUnit XML: a suite for each task, a case for each model.

    Red is a failure, what cannot be compared an error. What is skipped or cannot be told counts
    as skipped, with the reason.
    """
    root = Xml.Element("testsuites", name="seqmem check")
    for task in dict.fromkeys(verdict.task for verdict in report.verdicts):
        here = [verdict for verdict in report.verdicts if verdict.task == task]
        suite = Xml.SubElement(root, "testsuite", name=task, tests=str(len(here)))
        counts = {"failures": 0, "errors": 0, "skipped": 0}
        for verdict in here:
            case = Xml.SubElement(suite, "testcase", classname=task, name=verdict.model)
            slow = report.speed_counts and verdict.speed is not None and verdict.speed.slow
            kind, counted = {
                "red": ("failure", "failures"),
                "not comparable": ("error", "errors"),
                "missing": ("error", "errors"),
                "cannot tell": ("skipped", "skipped"),
                "skipped": ("skipped", "skipped"),
            }.get(verdict.state, ("", ""))
            if slow and kind in ("", "skipped"):
                kind, counted = "failure", "failures"
            text = sentence(verdict)
            if kind:
                counts[counted] += 1
                if slow:
                    text += f"; slow: {speed_text(verdict.speed)}"
                Xml.SubElement(case, kind, message=text)
            else:
                Xml.SubElement(case, "system-out").text = text
        for name, count in counts.items():
            suite.set(name, str(count))
    if not any(verdict.points for verdict in report.verdicts):
        # Without this, a file of nothing but skipped cases would pass.
        suite = Xml.SubElement(root, "testsuite", name="check", tests="1", errors="1")
        case = Xml.SubElement(suite, "testcase", classname="check", name="compared")
        Xml.SubElement(case, "error", message="; ".join(report.problems()))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, "unicode") + "\n"


def annotations(report: Report) -> str:
    """Write a line for each problem and each doubt, as GitHub's runners read them.

    The form is that of "Workflow commands for GitHub Actions": ::error title=…::message.
    """
    lines = [_command("error", problem) for problem in report.problems()]
    lines += [
        _command("warning", sentence(verdict))
        for verdict in report.verdicts
        if verdict.state == "cannot tell"
    ]
    lines.append(_command("notice", f"{report.count()}."))
    return "\n".join(lines) + "\n"


def _command(level: str, message: str) -> str:
    for character, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        message = message.replace(character, code)
    return f"::{level} title=seqmem check::{message}"
