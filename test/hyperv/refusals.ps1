# For the tests of the stand-in: what its cmdlets of virtual disks refuse, each with its error id, as "what<tab>id" lines.
param([string]$Module, [string]$Disk, [string]$Running, [string]$Folder)
$ErrorActionPreference = 'Stop'
Import-Module -Name $Module

$free = [System.IO.Path]::Combine($Folder, 'free.vhdx')
$attempts = [ordered]@{
    'a source that is not there'      = { Convert-VHD -Path "$Disk.none.vhdx" -DestinationPath $free }
    'a source of another ending'      = { Convert-VHD -Path $PSCommandPath -DestinationPath $free }
    'a destination that is there'     = { Convert-VHD -Path $Disk -DestinationPath $Disk }
    'a destination of another ending' = { Convert-VHD -Path $Disk -DestinationPath "$free.part" }
    'a folder that is not there'      = { Convert-VHD -Path $Disk -DestinationPath ([System.IO.Path]::Combine($Folder, 'none', 'free.vhdx')) }
    'a disk that a VM writes to'      = { Convert-VHD -Path $Running -DestinationPath $free }
    'a block size that is none'       = { Convert-VHD -Path $Disk -DestinationPath $free -BlockSizeBytes 3MB }
    'a copy without its parent'       = { Convert-VHD -Path $Disk -DestinationPath $free -VHDType Differencing }
    'a look at another ending'        = { Get-VHD -Path $PSCommandPath }
    'nothing'                         = { Convert-VHD -Path $Disk -DestinationPath $free -VHDType Fixed; (Get-VHD -Path $free).VhdType }
}
foreach ($what in $attempts.Keys) {
    $id = try { [string](& $attempts[$what]) } catch { $_.FullyQualifiedErrorId }
    "$what`t$id"
}
