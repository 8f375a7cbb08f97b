# Virtual disks and drives. A virtual disk is a file of JSON: what it is, how large, on which other it lies, and what was
# written to it. Or it is a real VHDX (vhdx.ps1).

# Bytes at an offset, as text of Latin-1.
class StandinWrite { [long]$Offset; [string]$Text }
class StandinVhd { [string]$Type; [uint64]$Size; [string]$Parent; [StandinWrite[]]$Written; [bool]$Real }

function Read-StandinVhd([string]$Cmdlet, [string]$Path) {
    if (-not [System.IO.File]::Exists($Path)) { Stop-Cmdlet $Cmdlet 'ObjectNotFound' "'$Path' does not exist." }
    if ('.vhd', '.vhdx', '.avhd', '.avhdx' -notcontains [System.IO.Path]::GetExtension($Path)) { Stop-Cmdlet $Cmdlet 'InvalidParameter' "'$Path' is not an existing virtual hard disk file." }
    if (Test-RealVhdx $Path) { return Read-RealVhdx $Cmdlet $Path }
    try { $vhd = Read-Json $Path ([StandinVhd]) } catch { Stop-Cmdlet $Cmdlet 'InvalidOperation' "'$Path' is not a virtual hard disk." }
    # A chain with a missing parent does not open.
    if ($vhd.Parent) { $null = Read-StandinVhd $Cmdlet $vhd.Parent }
    $vhd
}
function Write-StandinVhd([string]$Path, [string]$Type, [uint64]$Size, [string]$Parent, [StandinWrite[]]$Written = @()) {
    # Whole or not at all: VHDX keeps a log, and Hyper-V finishes or undoes what a crash cut short.
    [System.IO.File]::WriteAllText("$Path.new", (ConvertTo-Stored ([StandinVhd]@{ Type = $Type; Size = $Size; Parent = $Parent; Written = $Written })))
    [System.IO.File]::Move("$Path.new", $Path, $true)
}

function New-VHD {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'DynamicWithoutSource')]
    param(
        [Parameter(Mandatory, Position = 0)][string[]]$Path,
        [Parameter(ParameterSetName = 'Differencing', Mandatory, Position = 1)][string]$ParentPath,
        [Parameter(ParameterSetName = 'Differencing')][switch]$Differencing,
        [Parameter(ParameterSetName = 'DynamicWithoutSource')][switch]$Dynamic,
        [Parameter(ParameterSetName = 'DynamicWithoutSource', Mandatory, Position = 1)]
        [Parameter(ParameterSetName = 'Differencing', Position = 2)][uint64]$SizeBytes
    )
    Invoke-Cmdlet 'New-VHD' {
        foreach ($one in $Path) {
            if ([System.IO.File]::Exists($one)) { Stop-Cmdlet 'New-VHD' 'InvalidParameter' "'$one' already exists." }
            if ($SizeBytes -gt $script:VhdxMaximum) { Stop-Cmdlet 'New-VHD' 'InvalidParameter' 'The size is too large.' }
            $size = if ($Differencing) { (Read-StandinVhd 'New-VHD' $ParentPath).Size } else { $SizeBytes }
            # A kill in the middle leaves a file that is no disk.
            [System.IO.File]::WriteAllText($one, '')
            Step-TowardsKill
            Write-StandinVhd $one $(if ($Differencing) { 'Differencing' } else { 'Dynamic' }) $size $ParentPath
            Get-VHD -Path $one
        }
    }
}

function Get-VHD {
    [CmdletBinding(DefaultParameterSetName = 'Path')]
    param([Parameter(ParameterSetName = 'Path', Mandatory, Position = 0)][Alias('FullName')][string[]]$Path)
    Invoke-Cmdlet 'Get-VHD' {
        foreach ($one in $Path) {
            $vhd = Read-StandinVhd 'Get-VHD' $one
            [VirtualHardDisk]@{ Path = $one; VhdFormat = 'VHDX'; VhdType = $vhd.Type; Size = $vhd.Size; FileSize = Get-StandinFileSize $one $vhd; ParentPath = $vhd.Parent }
        }
    }
}

# A record stands for a file with a block for each piece that was written.
function Get-StandinFileSize([string]$Path, $Vhd) {
    if ($Vhd.Real) { [System.IO.FileInfo]::new($Path).Length } else { 4MB + @($Vhd.Written).Count * 1MB }
}

function Resize-VHD {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Size')]
    param(
        [Parameter(Mandatory, Position = 0)][Alias('FullName')][string[]]$Path,
        [Parameter(ParameterSetName = 'Size', Mandatory, Position = 1)][uint64]$SizeBytes
    )
    Invoke-Cmdlet 'Resize-VHD' {
        foreach ($one in $Path) {
            $vhd = Read-StandinVhd 'Resize-VHD' $one
            if ($SizeBytes -lt $vhd.Size -or $SizeBytes -gt $script:VhdxMaximum) { Stop-Cmdlet 'Resize-VHD' 'InvalidParameter' 'The size is not valid.' }
            if ($vhd.Real) { Update-RealVhdx 'Resize-VHD' $one $one $vhd.Type $SizeBytes }
            else { Write-StandinVhd $one $vhd.Type $SizeBytes $vhd.Parent $vhd.Written }
        }
    }
}

function New-StandinDrive([string]$Cmdlet, [guid]$VMId, [int]$Number, [int]$Location, [string]$Path, [ControllerType]$Type = 'SCSI') {
    $null = Read-StandinVhd $Cmdlet $Path
    [HardDiskDrive]@{ VMId = $VMId; Name = "Hard Drive on $Type controller number $Number at location $Location"; ControllerType = $Type; ControllerNumber = $Number; ControllerLocation = $Location; Path = $Path }
}
function Assert-FreeLocation([string]$Cmdlet, $Vm, [int]$Number, [int]$Location) {
    foreach ($drive in @($Vm.HardDrives) + @($Vm.DVDDrives)) {
        if ($drive.ControllerNumber -eq $Number -and $drive.ControllerLocation -eq $Location) { Stop-Cmdlet $Cmdlet 'InvalidOperation' 'The location is in use.' }
    }
}

function Get-VMHardDiskDrive {
    [CmdletBinding(DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM
    )
    Invoke-Cmdlet 'Get-VMHardDiskDrive' { foreach ($one in Select-StandinVm 'Get-VMHardDiskDrive' $VM $VMName) { (Read-StandinVm (Get-StandinFile $one.Id)).HardDrives } }
}

function Add-VMHardDiskDrive {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [Parameter(Position = 1)][ControllerType]$ControllerType,
        [Parameter(Position = 2)][int]$ControllerNumber,
        [Parameter(Position = 3)][int]$ControllerLocation,
        [Parameter(Position = 4)][string]$Path
    )
    Invoke-Cmdlet 'Add-VMHardDiskDrive' {
        foreach ($one in Select-StandinVm 'Add-VMHardDiskDrive' $VM $VMName) {
            Update-StandinVm 'Add-VMHardDiskDrive' $one.Id {
                Assert-FreeLocation 'Add-VMHardDiskDrive' $_ $ControllerNumber $ControllerLocation
                $_.HardDrives += New-StandinDrive 'Add-VMHardDiskDrive' $_.Id $ControllerNumber $ControllerLocation $Path $ControllerType
            }
        }
    }
}

function Set-VMHardDiskDrive {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string]$VMName,
        [Parameter(ParameterSetName = 'Object', Mandatory, Position = 0)][HardDiskDrive[]]$VMHardDiskDrive,
        [uint64]$MaximumIOPS
    )
    Invoke-Cmdlet 'Set-VMHardDiskDrive' {
        foreach ($drive in $VMHardDiskDrive) {
            Update-StandinVm 'Set-VMHardDiskDrive' $drive.VMId {
                foreach ($own in $_.HardDrives | Where-Object Path -EQ $drive.Path) { $own.MaximumIOPS = $MaximumIOPS }
            }
        }
    }
}

function Remove-VMHardDiskDrive {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param([Parameter(ParameterSetName = 'VMHardDiskDrive', Mandatory, Position = 0)][HardDiskDrive[]]$VMHardDiskDrive)
    Invoke-Cmdlet 'Remove-VMHardDiskDrive' {
        foreach ($drive in $VMHardDiskDrive) {
            Update-StandinVm 'Remove-VMHardDiskDrive' $drive.VMId { $_.HardDrives = @($_.HardDrives | Where-Object Path -NE $drive.Path) }
        }
    }
}

function Get-VMDvdDrive {
    [CmdletBinding(DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM
    )
    Invoke-Cmdlet 'Get-VMDvdDrive' { foreach ($one in Select-StandinVm 'Get-VMDvdDrive' $VM $VMName) { (Read-StandinVm (Get-StandinFile $one.Id)).DVDDrives } }
}

# A file by its birth, which a rename keeps and a new file of the same name does not have; '': there is none.
function Get-StandinMedium([string]$Path) {
    if ($Path -and [System.IO.File]::Exists($Path)) { [System.IO.FileInfo]::new($Path).CreationTimeUtc.Ticks.ToString() } else { '' }
}
# As a VM opens its media when it is powered on.
function Assert-StandinMedia([string]$Cmdlet, $Vm) {
    foreach ($drive in $Vm.DVDDrives) {
        if (-not $drive.Path) { continue }
        $medium = Get-StandinMedium $drive.Path
        if (-not $medium) { Stop-Cmdlet $Cmdlet 'OperationFailed' "Attachment '$($drive.Path)' not found. Error: 'The system cannot find the file specified.' (0x80070002)." }
        if ($medium -ne $drive.StandinMedium) { Stop-Cmdlet $Cmdlet 'OperationFailed' "Attachment '$($drive.Path)' failed to open because of error: 'General access denied error' (0x80070005)." }
    }
}

function Add-VMDvdDrive {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string[]]$VMName,
        [Parameter(ParameterSetName = 'VMObject', Mandatory, Position = 0)][VirtualMachine[]]$VM,
        [Parameter(Position = 1)][int]$ControllerNumber,
        [Parameter(Position = 2)][int]$ControllerLocation,
        [Parameter(Position = 3)][string]$Path
    )
    Invoke-Cmdlet 'Add-VMDvdDrive' {
        foreach ($one in Select-StandinVm 'Add-VMDvdDrive' $VM $VMName) {
            Update-StandinVm 'Add-VMDvdDrive' $one.Id {
                # Without a path the drive is empty.
                if ($Path -and -not [System.IO.File]::Exists($Path)) { Stop-Cmdlet 'Add-VMDvdDrive' 'ObjectNotFound' "'$Path' does not exist." }
                Assert-FreeLocation 'Add-VMDvdDrive' $_ $ControllerNumber $ControllerLocation
                $_.DVDDrives += [DvdDrive]@{ VMId = $_.Id; Name = "DVD Drive on SCSI controller number $ControllerNumber at location $ControllerLocation"; ControllerNumber = $ControllerNumber; ControllerLocation = $ControllerLocation; Path = $Path; StandinMedium = Get-StandinMedium $Path }
            }
        }
    }
}

function Set-VMDvdDrive {
    [CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'VMName')]
    param(
        [Parameter(ParameterSetName = 'VMName', Mandatory, Position = 0)][string]$VMName,
        [Parameter(ParameterSetName = 'Object', Mandatory, Position = 0)][DvdDrive[]]$VMDvdDrive,
        [string]$Path
    )
    Invoke-Cmdlet 'Set-VMDvdDrive' {
        if ($Path -and -not [System.IO.File]::Exists($Path)) { Stop-Cmdlet 'Set-VMDvdDrive' 'ObjectNotFound' "'$Path' does not exist." }
        foreach ($drive in $VMDvdDrive) {
            Update-StandinVm 'Set-VMDvdDrive' $drive.VMId {
                foreach ($own in $_.DVDDrives | Where-Object ControllerLocation -EQ $drive.ControllerLocation) {
                    # The same path again is no new attachment.
                    if ($own.Path -ne $Path) { $own.Path = $Path; $own.StandinMedium = Get-StandinMedium $Path }
                }
            }
        }
    }
}
