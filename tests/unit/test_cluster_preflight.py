"""Missing programs are all named at once, with the packages that bring them."""

from hack.cluster import preflight


def test_every_missing_program_is_named_with_one_command_for_all() -> None:
    absent = preflight.missing(preflight.PROGRAMS, {"ip": "/usr/sbin/ip", "nsenter": "/usr/bin/nsenter"}.get)
    assert [program.name for program in absent] == ["runc", "iptables-restore", "umount", "openssl"]
    assert preflight.describe(absent).splitlines() == [
        "missing programs:",
        "  runc               starts containers",
        "  iptables-restore   Service addresses (kube-proxy)",
        "  umount             releases volumes",
        "  openssl            certificates",
        "install them: sudo apt-get install -y iptables mount openssl runc",
    ]
