# Disks as files that others read: what Convert-VHD writes is a real VHDX, with all that the guest wrote, and one that
# came from elsewhere is read as it is. By qemu-img, which is asked for only where a disk becomes one, or was one.

$script:VhdxItems = @{
    Metadata   = [guid]'8b7ca206-4790-4b9a-b8fe-575f050f886e'
    Parameters = [guid]'caa16737-fa36-4d43-b3b6-33f0aa44e76b'
    Size       = [guid]'2fa54224-cd1b-4876-b211-5dbed83bf4b8'
}

function Test-RealVhdx([string]$Path) {
    $stream = [System.IO.File]::OpenRead($Path)
    try {
        $head = [byte[]]::new(8)
        $stream.Read($head, 0, 8) -eq 8 -and [System.Text.Encoding]::ASCII.GetString($head) -ceq 'vhdxfile'
    }
    finally { $stream.Dispose() }
}

# What Get-VHD says of it, from its metadata ([MS-VHDX] 2.6.2). A parent that it names is nowhere on this host.
function Read-RealVhdx([string]$Cmdlet, [string]$Path) {
    $reader = [System.IO.BinaryReader]::new([System.IO.File]::OpenRead($Path))
    try {
        $null = $reader.BaseStream.Seek(192KB + 8, 'Begin')
        $region = 0
        $count = $reader.ReadUInt32()
        for ($n = 0; $n -lt $count; $n++) {
            $null = $reader.BaseStream.Seek(192KB + 16 + 32 * $n, 'Begin')
            if ([guid]::new($reader.ReadBytes(16)) -eq $script:VhdxItems.Metadata) { $region = $reader.ReadUInt64() }
        }
        if ($region -eq 0) { Stop-Cmdlet $Cmdlet 'InvalidOperation' "'$Path' is corrupt." }
        $null = $reader.BaseStream.Seek($region + 10, 'Begin')
        $items = @{}
        $count = $reader.ReadUInt16()
        for ($n = 0; $n -lt $count; $n++) {
            $null = $reader.BaseStream.Seek($region + 32 + 32 * $n, 'Begin')
            $item = [guid]::new($reader.ReadBytes(16))
            $items[$item] = $region + $reader.ReadUInt32()
        }
        $null = $reader.BaseStream.Seek($items[$script:VhdxItems.Parameters] + 4, 'Begin')
        $flags = $reader.ReadUInt32()
        $null = $reader.BaseStream.Seek($items[$script:VhdxItems.Size], 'Begin')
        $size = $reader.ReadUInt64()
    }
    finally { $reader.Dispose() }
    if ($flags -band 2) { Stop-Cmdlet $Cmdlet 'ObjectNotFound' "The parent of '$Path' does not exist." }
    [StandinVhd]@{ Type = $(if ($flags -band 1) { 'Fixed' } else { 'Dynamic' }); Size = $size; Real = $true }
}

function Invoke-QemuImg([string]$Cmdlet, [string[]]$Arguments) {
    $said = & 'qemu-img' @Arguments 2>&1
    if ($LASTEXITCODE -ne 0) { Stop-Cmdlet $Cmdlet 'OperationFailed' "The file or directory is corrupted and unreadable. (0x80070570) $said" }
}

# All that a guest sees on the disk, as a raw file.
function Write-StandinContent([string]$Cmdlet, [string]$Path, [string]$Raw) {
    $vhd = Read-StandinVhd $Cmdlet $Path
    if ($vhd.Real) { Invoke-QemuImg $Cmdlet 'convert', '-f', 'vhdx', '-O', 'raw', $Path, $Raw }
    elseif ($vhd.Parent) { Write-StandinContent $Cmdlet $vhd.Parent $Raw }
    else { [System.IO.File]::WriteAllText($Raw, '') }
    $stream = [System.IO.File]::OpenWrite($Raw)
    try {
        $stream.SetLength($vhd.Size)
        foreach ($write in $vhd.Written) {
            $null = $stream.Seek($write.Offset, 'Begin')
            $bytes = [System.Text.Encoding]::Latin1.GetBytes($write.Text)
            $stream.Write($bytes, 0, $bytes.Length)
        }
    }
    finally { $stream.Dispose() }
}

# $Raw becomes a real VHDX of that path, and is gone.
function Write-RealVhdx([string]$Cmdlet, [string]$Raw, [string]$Path, [string]$Type, [uint32]$BlockSize) {
    $block = if ($BlockSize -eq 0) { 32MB } else { $BlockSize }
    Invoke-QemuImg $Cmdlet 'convert', '-f', 'raw', '-O', 'vhdx', '-o', "subformat=$($Type.ToLowerInvariant()),block_size=$block", $Raw, "$Path.new"
    [System.IO.File]::Move("$Path.new", $Path, $true)
    [System.IO.File]::Delete($Raw)
}

# A real one changed: as a record is, only that its bytes are there.
function Update-RealVhdx([string]$Cmdlet, [string]$From, [string]$Path, [string]$Type, [uint64]$Size) {
    $raw = Get-StandinScratch
    Write-StandinContent $Cmdlet $From $raw
    $stream = [System.IO.File]::OpenWrite($raw)
    try { $stream.SetLength($Size) } finally { $stream.Dispose() }
    Write-RealVhdx $Cmdlet $raw $Path $Type 0
}
function Get-StandinScratch { [System.IO.Path]::Combine($script:State, "$([guid]::NewGuid()).raw") }

# A disk that a VM writes to is that VM's alone. The layers under it may be read.
function Assert-DiskFree([string]$Cmdlet, [string]$Path) {
    foreach ($vm in Read-StandinVms) {
        if ($vm.StandinProcess -eq 0) { continue }
        foreach ($drive in $vm.HardDrives) {
            if ($drive.Path -eq $Path) { Stop-Cmdlet $Cmdlet 'ObjectInUse' 'The process cannot access the file because it is being used by another process. (0x80070020)' }
        }
    }
}

function Convert-VHD {
    [CmdletBinding(SupportsShouldProcess)]
    param(
        [Parameter(Mandatory, Position = 0)][Alias('FullName')][string]$Path,
        [Parameter(Mandatory, Position = 1)][string]$DestinationPath,
        [VhdType]$VHDType,
        [uint32]$BlockSizeBytes
    )
    $bound = $PSBoundParameters
    Invoke-Cmdlet 'Convert-VHD' {
        $source = Read-StandinVhd 'Convert-VHD' $Path
        if ('.vhd', '.vhdx' -notcontains [System.IO.Path]::GetExtension($DestinationPath)) { Stop-Cmdlet 'Convert-VHD' 'InvalidParameter' "'$DestinationPath' is not the path of a virtual hard disk." }
        if (-not [System.IO.Directory]::Exists([System.IO.Path]::GetDirectoryName($DestinationPath))) { Stop-Cmdlet 'Convert-VHD' 'ObjectNotFound' "The folder of '$DestinationPath' does not exist." }
        if ([System.IO.File]::Exists($DestinationPath)) { Stop-Cmdlet 'Convert-VHD' 'OperationFailed' "The file '$DestinationPath' exists. (0x80070050)" }
        if ($bound.ContainsKey('BlockSizeBytes') -and ($BlockSizeBytes -lt 1MB -or $BlockSizeBytes -gt 256MB -or ($BlockSizeBytes -band ($BlockSizeBytes - 1)) -ne 0)) { Stop-Cmdlet 'Convert-VHD' 'InvalidParameter' 'The block size is not valid.' }
        $type = if ($bound.ContainsKey('VHDType')) { [string]$VHDType } elseif ($source.Type -eq 'Fixed') { 'Fixed' } else { 'Dynamic' }
        if ($type -eq 'Differencing') { Stop-Cmdlet 'Convert-VHD' 'InvalidParameter' 'A differencing disk needs a parent.' }
        Assert-DiskFree 'Convert-VHD' $Path
        # A kill in the middle leaves a file that is no disk.
        [System.IO.File]::WriteAllText($DestinationPath, '')
        Step-TowardsKill
        $raw = Get-StandinScratch
        Write-StandinContent 'Convert-VHD' $Path $raw
        Write-RealVhdx 'Convert-VHD' $raw $DestinationPath $type $BlockSizeBytes
    }
}
