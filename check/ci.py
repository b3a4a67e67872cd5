"""A check in formats of continuous integration: JUnit XML, annotations of a pull request."""

from xml.etree import ElementTree as Xml

from seqmem.check.report import CheckReport, sentence

__all__ = ["annotations", "junit"]

# The element of a verdict; a green one has none.
_ELEMENTS = {
    "red": "failure",
    "not comparable": "error",
    "missing": "error",
    "cannot tell": "skipped",
    "skipped": "skipped",
}


def junit(report: CheckReport) -> str:
    """Return a check as JUnit XML: a suite for each task, a case for each model.

    A red cell is a failure, one that cannot be compared an error. A skipped or undecided cell is
    skipped, with the reason.
    """
    root = Xml.Element("testsuites", name="seqmem check")
    for task in dict.fromkeys(verdict.task for verdict in report.verdicts):
        verdicts = [verdict for verdict in report.verdicts if verdict.task == task]
        suite = Xml.SubElement(root, "testsuite", name=task, tests=str(len(verdicts)))
        for verdict in verdicts:
            case = Xml.SubElement(suite, "testcase", classname=task, name=verdict.model)
            element, text = _ELEMENTS.get(verdict.state), sentence(verdict)
            if report.speed_counts and verdict.speed is not None and verdict.speed.slow:
                element = "failure" if element in (None, "skipped") else element
                text += f"; slow: {verdict.speed}"
            if element:
                Xml.SubElement(case, element, message=text)
            else:
                Xml.SubElement(case, "system-out").text = text
        for name, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(len(suite.findall(f"testcase/{element}"))))
    if not any(verdict.points for verdict in report.verdicts):
        # Without this, a file of nothing but skipped cases would pass.
        suite = Xml.SubElement(root, "testsuite", name="check", tests="1", errors="1")
        case = Xml.SubElement(suite, "testcase", classname="check", name="compared")
        Xml.SubElement(case, "error", message="; ".join(report.problems()))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, "unicode") + "\n"


def annotations(report: CheckReport) -> str:
    """Return a line for each problem and each undecided cell, as GitHub's runners read them.

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
