//! Streams of disko by itself, without an exit status.

use crate::common::play::summary;
use crate::text_streams::{bad, check, good, incomplete};

const DISKO: &str = "disko version 1.12.0
this derivation will be built:
  /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-disko-destroy-format-mount.drv
building '/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-disko-destroy-format-mount.drv'...
";
/// Errors that a script survives before it partitions.
const DISKO_WIPES: &str = "umount: /mnt: not mounted
++ realpath /dev/sda
+ disk=/dev/sda
+ lsblk -a -f
+ wipefs --all -f /dev/sda1
++ zdb -l /dev/sda2
bash: line 3: zdb: command not found
+ zpool=
+ dd if=/dev/zero of=/dev/sda bs=440 count=1
440 bytes copied, 3.2521e-05 s, 13.5 MB/s
++ mktemp -d
+ disko_devices_dir=/tmp/tmp.YmHFshJMZT
+ trap 'rm -rf \"$disko_devices_dir\"' EXIT
+ mkdir -p /tmp/tmp.YmHFshJMZT
+ device=/dev/sda
+ sgdisk --clear /dev/sda
The operation has completed successfully.
";
const DISKO_ASKS: &str =
    "WARNING: This will destroy all data on the disks defined in disko.devices, which are:

  - /dev/sda

    (If you want to skip this dialogue, pass --yes-wipe-all-disks)

Are you sure you want to wipe the devices listed above?
";

#[test]
fn disko_by_itself() {
    let all = |parts: &[&str]| -> &'static str { parts.concat().leak() };
    let formats = "+ blkid /dev/disk/by-partlabel/disk-main-root\n+ grep -q TYPE=\n\
        + mkfs.ext4 /dev/disk/by-partlabel/disk-main-root\nmke2fs 1.47.0 (5-Feb-2023)\n";
    let ends = "+ rm -rf /tmp/tmp.YmHFshJMZT\n";
    let done = "Writing superblocks and filesystem accounting information: done\n\n\
        + findmnt /dev/disk/by-partlabel/disk-main-root /mnt/\n+ mount /dev/disk/by-partlabel/disk-main-root /mnt/\n";
    check(&[
        good(all(&[DISKO, DISKO_WIPES, formats, done, ends])),
        good(all(&[DISKO, DISKO_ASKS, DISKO_WIPES, formats, done, ends])),
        // Built before, so that nothing is built; without the command; only mounted.
        good(all(&["disko version 1.12.0\n", DISKO_WIPES, formats, done, ends])),
        good(all(&[DISKO_WIPES, formats, done, ends])),
        good(all(&["disko version 1.12.0\n+ mkdir -p /mnt/\n+ mount /dev/sda2 /mnt/ -t ext4\n"])),
        incomplete(all(&[DISKO, DISKO_WIPES, formats])),
        bad(
            all(&[
                DISKO,
                DISKO_WIPES,
                "+ mkfs.vfat /dev/disk/by-partlabel/disk-main-ESP\nmkfs.fat 4.2 (2021-01-31)\n\
                 mkfs.vfat: unable to open /dev/disk/by-partlabel/disk-main-ESP: No such file or directory\n",
                ends,
            ]),
            &[&["mkfs.vfat", "unable to open"]],
        ),
        bad(
            all(&[
                DISKO_WIPES,
                "+ sgdisk --new=1:0:+1024M /dev/vda\nCould not create partition 1 from 34 to 2097185\n\
                 Error encountered; not saving changes.\n",
                ends,
            ]),
            &[&["sgdisk"]],
        ),
        bad(
            all(&[
                DISKO,
                DISKO_WIPES,
                "+ zpool create -f zroot /dev/sda2\ncannot create 'zroot': no such pool or dataset\n",
                ends,
            ]),
            &[&["zpool", "cannot create 'zroot'"]],
        ),
        bad(
            "disko version 1.12.0\n+ mount /dev/sda2 /mnt/ -t ext4\nmount: /mnt: special device /dev/sda2 does not exist.\n",
            &[&["mount", "does not exist"]],
        ),
        bad(all(&[DISKO, DISKO_ASKS, "Aborted.\n"]), &[&["confirmation", "Aborted."]]),
        bad(
            "disko version 1.12.0\naborted: disko config must be an existing file or flake must be set\n",
            &[&["checks", "existing file"]],
        ),
    ]);
    // A shell that shows its commands is not disko.
    check(&[good("+ mkfs.ext4 disk.img\nmount: /mnt: special device x does not exist.\n+ true\n")]);
    let (said, _) = summary(all(&[DISKO, DISKO_WIPES, formats, done, ends]).as_bytes(), Some(0));
    assert_eq!(said["activation"]["tool"], "disko", "{said}");
}
